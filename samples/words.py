"""Pieces of names: single characters in one string, longer pieces separated by spaces.

Many characters are in several lists on purpose (金 is a surname, part of places and of brands), so
a character alone does not reveal its entity type.
"""

# ruff: noqa: SIM905 - sixty quoted words would be harder to read than one string

SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏"
    "魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛"
)
DOUBLE_SURNAMES = "欧阳 上官 诸葛 司马 皇甫 慕容".split()
GIVEN = (
    "伟芳娜敏静丽强磊军洋勇艳杰娟涛明超秀霞刚桂英华建国志文红玉兰春梅波德胜庆福晓雪峰欣怡佳慧轩浩宇思"
    "博雅俊鹏新成功正义豪若曦梓涵雨桐鸣辉振兴琳媛斌毅"
)
# Never in train: they become [UNK], as rare characters of real names do.
RARE_GIVEN = "旻翀祎璟骞晟垚淼"
SYLLABLES = (
    "阿巴贝卡克戴德多弗费格哈杰科拉莱罗马曼内尼诺帕佩里森斯特塔瓦维沃亚伊尤丹顿登恩尔盖基兰利林洛"
    "米莫姆纳努皮奇琼萨桑苏泰图威韦温西谢雅约泽"
)

PLACE_FIRST = "东西南北安平宁昌龙海云青石金江泉和永长临丰泰清凤白沙柳松竹溪黄乌古上下双三五九水虎鹿"
PLACE_SECOND = "州阳安宁平昌城门口川谷原岭峰泉溪塘湾桥坪坝岗坡沟洲陵关屯堡店庄林台港津浦头"
AREA_SUFFIXES = "市 市 市 县 县 区 区 镇 镇 村 村 乡 州 自治县 开发区 新区 街道".split()
NATURE_SUFFIXES = "山 江 河 湖 岛 湾 港 峡 湖 河 山 水库 草原 半岛 群岛 盆地 高原".split()
SITE_SUFFIXES = "路 街 大道 大桥 机场 火车站 公园 广场 古城 码头 隧道 寺".split()
FOREIGN_SUFFIXES = ["", "", "", "州", "市", "岛", "河", "湾", "共和国"]
KNOWN_PLACES = (
    "中国 北京 上海 天津 重庆 广州 深圳 南京 武汉 成都 西安 杭州 苏州 四川 云南 湖南 甘肃 美国"
    " 日本 法国 德国 英国 俄罗斯 印度 巴西 埃及 韩国 加拿大 澳大利亚 东京 巴黎 伦敦 纽约 莫斯科"
    " 亚洲 欧洲 非洲 长江 黄河 太平洋"
).split()

BRAND = "华腾鑫瑞达恒信安泰远大金龙海蓝天宏盛博科润隆新创联众康美佳利通亿万方正东星银河飞鸿嘉丰源"
INDUSTRIES = (
    "电子 科技 化工 汽车 纺织 钢铁 机械 食品 药业 能源 通信 软件 建筑 地产 物流 航空 石油 煤炭"
    " 造船 家具 玻璃 水泥 服装 渔业 茶叶 印刷 环保 旅游 仪表 轴承"
).split()
COMPANY_SUFFIXES = (
    "公司 公司 有限公司 股份有限公司 集团 集团公司 厂 总厂 实业公司 投资公司 进出口公司".split()
)
PUBLIC_SUFFIXES = (
    "大学 大学 师范大学 工业大学 农学院 医学院 理工学院 职业技术学院 银行 商业银行 中心医院"
    " 中医院 儿童医院 博物馆 图书馆 日报 晚报 电视台 广播电台 出版社 队 男篮 女排 足球俱乐部"
    " 证券交易所 海关 商会 歌舞团 话剧院 动物园管理处"
).split()
OFFICE_SUFFIXES = (
    "委员会 人民政府 教育局 公安局 法院 中级人民法院 检察院 财政局 气象局 卫生局 水利厅 统计局"
    " 税务局 文化局 政协 人大常委会 工商联 消防支队 交警大队"
).split()
INSTITUTE_SUFFIXES = "研究所 研究院 协会 学会 基金会 设计院 检测中心 联合会 工程实验室".split()
SCHOOL_SUFFIXES = "中学 小学 人民医院 实验小学 建筑公司 高级中学 机床厂".split()
WORLD_FIRST = "国际 世界 亚太 全球 欧亚 环太平洋 中非".split()
WORLD_LAST = "组织 理事会 论坛秘书处 联盟 总会 合作委员会".split()
KNOWN_ORGS = (
    "联合国 世界贸易组织 国务院 教育部 外交部 欧盟 世界卫生组织 中国科学院 清华大学".split()
)
LATIN_BRANDS = "TCK NOVA Kelan BHD Vento YQ Micra LTE".split()

JOBS = (
    "记者 教授 总经理 董事长 市长 县长 院长 局长 主任 医生 工程师 教练 导演 作家 发言人 村民"
    " 队长 研究员 总统 总理 部长 书记 老师 律师 诗人 画家"
).split()
# Common words that begin or end like a name.
COMMON = (
    "黄金 白糖 毛衣 石油 马路 林业 金融 方便面 高温 江水 田野 常识 温度 文明 龙头 雷雨 严冬"
    " 汤料 钱包 夏装 钟表 陶器 安全 平安 新城 海港 山区 河道 湖面 岛屿 城区 市场 省份 县城 村庄"
    " 银行卡 大学生 公司 医院 学院 委员会 集团 长江水 建国 明天 华丽 青松 永远 成功 杰出 国产"
    " 东西 南北"
).split()
CODES = "GDP A320 5G CPI K12 WTO-6 PM2.5 Type-C H7 DNA X光 IPO ISO9001 T恤 AI USB3.0".split()
